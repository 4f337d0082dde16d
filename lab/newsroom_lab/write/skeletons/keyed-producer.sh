#!/bin/sh
# TODO markers show the gaps. TASK.txt says what the program must do. jq makes "key<TAB>value" lines of LAB_SOURCE,
# and kcat sends such lines with -K and the separator.
set -e
tab=$(printf '\t')
jq -r '[.key, .value] | @tsv' "$LAB_SOURCE" > "$LAB_STATE/records"
# TODO: kcat -P -b ... -t ... -K "$tab" < "$LAB_STATE/records" ; which -X partitioner puts a key where Java's clients put it?
