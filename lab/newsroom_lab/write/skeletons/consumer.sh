#!/bin/sh
# TODO markers show the gaps. TASK.txt says what the program must do.
# One kcat reads as a member of the group, another one sends what comes through the pipe. kcat commits by itself, without
# knowing what the second one has sent: find out with 'newsroom lab try at-least-once' what that costs.
tab=$(printf '\t')
# SIGTERM goes to all programs of the pipe. The writer must not hear it: it ends when the reader has closed the pipe.
trap '' TERM
# TODO: sh -c 'trap - TERM; exec kcat -b ... -G "$LAB_GROUP" -X ... -u -q -f "%k\t%s\n" "$LAB_INPUT"' |
#         setsid kcat -P -b ... -t ... -K "$tab" -X ...
