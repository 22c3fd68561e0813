# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for qfsck and fsck.qcow2. Commands, options and what they
# take come from the program itself (--complete), and so can not go out of date.

# Those of the names that begin with $1 that may be images.
_qfsck_images()
{
	local name typed=$1 home
	local -a names

	compopt -o filenames 2>/dev/null
	if [[ $typed == \~* ]]; then # as it is typed it is no file's name
		home=${typed%%/*}
		[[ $home =~ ^~[A-Za-z0-9._-]*$ ]] && eval "home=$home"
		typed=$home${typed#"${typed%%/*}"}
	fi
	mapfile -t names < <(compgen -f -- "$typed")
	((${#names[@]})) || return
	while IFS= read -r name; do
		[[ $1 == "$typed" ]] || name=${1%%/*}${name#"$home"}
		COMPREPLY+=("$name")
	done < <("$_qfsck_program" --complete=images "${names[@]}" 2>/dev/null)
}

# What an option takes: $1 as the program says it, $2 what is typed of it.
_qfsck_values()
{
	case $1 in
	any | unknown) ;;
	file)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$2")
		;;
	directory)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -d -- "$2")
		;;
	*)
		mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
		;;
	esac
}

_qfsck()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev='' command=''
	local name letter takes text words='' value='' i seen=0
	local _qfsck_program=${COMP_WORDS[0]/#\~/$HOME}

	COMPREPLY=()
	((COMP_CWORD > 0)) && prev=${COMP_WORDS[COMP_CWORD - 1]}
	if ((COMP_CWORD == 1)); then
		while IFS= read -r name; do
			words+=" ${name%%$'\t'*}"
		done < <("$_qfsck_program" --complete 2>/dev/null)
		mapfile -t COMPREPLY < <(
			compgen -W "$words --help --version" -- "$cur")
		return
	fi
	command=${COMP_WORDS[1]}
	# --option=value is three words here
	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	while IFS= read -r text; do
		name=${text%%$'\t'*} text=${text#*$'\t'}
		letter=${text%%$'\t'*} text=${text#*$'\t'}
		takes=${text%%$'\t'*}
		if [[ $takes == - ]]; then
			words+=" $name"
		else
			words+=" $name="
			[[ $prev == "$name" || (-n $letter && $prev == "$letter") ]] &&
				value=$takes
		fi
	done < <("$_qfsck_program" "$command" --complete 2>/dev/null)
	if [[ -n $value ]]; then
		_qfsck_values "$value" "$cur"
		return
	fi
	if [[ $cur == -* || $command == explain ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		[[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] &&
			compopt -o nospace 2>/dev/null
		return
	fi
	for ((i = 2; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == [-=]* || ${COMP_WORDS[i - 1]} == = ]] ||
			seen=1
	done
	# lines of check, an undo file; a file to be made
	if [[ $command == report || $command == undo && $seen == 0 ||
		$command == extract && $seen == 1 ]]; then
		_qfsck_values file "$cur"
	else
		_qfsck_images "$cur"
	fi
}

_fsck_qcow2()
{
	local cur=${COMP_WORDS[COMP_CWORD]}
	local _qfsck_program=${COMP_WORDS[0]/#\~/$HOME}

	COMPREPLY=()
	# as fsck.qcow2 it would take the question for an image
	_qfsck_program=${_qfsck_program%fsck.qcow2}qfsck
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W '-a -p -n -y -f' -- "$cur")
	else
		_qfsck_images "$cur"
	fi
}

complete -F _qfsck qfsck
complete -F _fsck_qcow2 fsck.qcow2
