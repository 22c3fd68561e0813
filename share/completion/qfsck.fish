# SPDX-License-Identifier: GPL-2.0-or-later
# fish completion for qfsck and fsck.qcow2. Commands, options and what they
# take come from the program itself (--complete), and so can not go out of date.

function __qfsck_program
	set -l words (commandline -opc)
	# as fsck.qcow2 it would take the question for an image
	string replace -r '(^|/)fsck\.qcow2$' '$1qfsck' -- $words[1] | string replace -r '^~' $HOME
end

function __qfsck_command
	set -l words (commandline -opc)
	set -q words[2]; and echo $words[2]
end

# Files that may be images.
function __qfsck_images
	set -l typed (string replace -r '^~' $HOME -- (commandline -ct))
	set -l names (string escape --style=script -- $typed)
	set names (eval "for n in $names*; echo \$n; end" 2>/dev/null)
	test -n "$names"; and eval (string escape -- (__qfsck_program)) --complete=images (string escape -- $names) 2>/dev/null
end

function __qfsck_lines
	eval (string escape -- (__qfsck_program)) $argv --complete 2>/dev/null
end

# The commands, or what explain takes: a name and what it means.
function __qfsck_words
	for line in (__qfsck_lines $argv)
		set -l field (string split \t -- $line)
		string match -q -- '-*' $field[1]; or printf '%s\t%s\n' $field[1] $field[4]
	end
end

# The command's options; those that take something with their =, and behind it
# what that may be.
function __qfsck_options
	set -l typed (commandline -ct)
	for line in (__qfsck_lines (__qfsck_command))
		set -l field (string split \t -- $line)
		string match -q -- '-*' $field[1]; or continue
		if test "$field[3]" = -
			printf '%s\t%s\n' $field[1] $field[4]
			continue
		end
		if not string match -q -- "$field[1]=*" $typed
			printf '%s=\t%s\n' $field[1] $field[4]
			continue
		end
		switch $field[3]
			case any unknown
			case file directory
				for name in (eval "for n in "(string escape -- (string replace -- "$field[1]=" '' $typed))"*; echo \$n; end" 2>/dev/null)
					echo "$field[1]=$name"
				end
			case '*'
				printf "$field[1]=%s\n" (string split ' ' -- $field[3])
		end
	end
end

function __qfsck_takes_file
	set -l words (commandline -opc)
	set -l names (string match -v -- '-*' $words[3..-1])
	switch "$words[2]"
		case report
			true
		case undo
			test (count $names) -eq 0
		case extract
			test (count $names) -eq 1
		case '*'
			false
	end
end

function __qfsck_first
	test (count (commandline -opc)) -eq 1
end

complete -c qfsck -f
complete -c qfsck -n __qfsck_first -a '(__qfsck_words)'
complete -c qfsck -n __qfsck_first -a '--help --version'
complete -c qfsck -n 'contains -- explain (__qfsck_command)' -a '(__qfsck_words explain)'
complete -c qfsck -n 'not __qfsck_first; and string match -q -- "-*" (commandline -ct)' -a '(__qfsck_options)'
complete -c qfsck -n 'not __qfsck_first; and __qfsck_takes_file' -F
complete -c qfsck -n 'not __qfsck_first; and not __qfsck_takes_file; and not contains -- explain (__qfsck_command)' -a '(__qfsck_images)'
complete -c fsck.qcow2 -f -a '(__qfsck_images)'
complete -c fsck.qcow2 -s a -d 'repair what risks nothing'
complete -c fsck.qcow2 -s p -d 'repair what risks nothing'
complete -c fsck.qcow2 -s n -d 'show the plan, change nothing'
complete -c fsck.qcow2 -s y -d 'repair all'
complete -c fsck.qcow2 -s f -d 'without effect'
