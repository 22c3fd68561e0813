/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The options of the commands that show, from one table a command. */
#ifndef QF_CMD_ARGS_H
#define QF_CMD_ARGS_H

#include "lib/model/image.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum qf_args_kind {
	QF_ARGS_FLAG,	/* bool *: set */
	QF_ARGS_TEXT,	/* const char **: the argument */
	QF_ARGS_NUMBER, /* uint64_t *: decimal, 0x..., or with k, M, G, T */
	QF_ARGS_JSON,	/* bool *: --output=human or json */
};

struct qf_args_option {
	const char *name; /* without the dashes; NULL ends the table */
	char letter;	  /* 0: none */
	enum qf_args_kind kind;
	void *to;
};

struct qf_args {
	const char *command;
	const char *help;
	const struct qf_args_option *option; /* at most QF_ARGS_MAX */
	bool own; /* none of --output, -U and -f but what OPTION has */
	int more; /* images beyond the one that is needed */
	/* set: */
	char **arg;	    /* the first argument behind the options */
	int n;		    /* how many */
	bool json;	    /* --output=json */
	bool share;	    /* -U */
	const char *format; /* -f, or NULL */
};

#define QF_ARGS_MAX 20

/*
 * Parses and fills. --help and -h are understood everywhere. Returns -1 to
 * go on, else the exit code; then all has been said.
 */
int qf_args_parse(struct qf_args *a, int argc, char **argv);

/* Opens the first image for reading. Returns as qf_args_parse. */
int qf_args_open(const struct qf_args *a, struct qf_image **img);

/* A number as QF_ARGS_NUMBER takes it. */
bool qf_args_number(const char *text, uint64_t *out);

/* Says on stderr that COMMAND was used wrongly; returns the exit code. */
int qf_args_wrong(const char *command, const char *text, const char *arg);

/* Says on stderr why NAME could not be shown; returns the exit code. */
int qf_args_failed(const char *name, const struct qf_why *why);

/*
 * Prints O on standard output, with a line end, and frees it. NULL: memory
 * ran out while it was made. Returns the exit code.
 */
int qf_args_print(json_t *o);

/* Sees that all is written. Returns the exit code, after saying so if not. */
int qf_args_flush(void);

#endif
