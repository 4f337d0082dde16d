#!/bin/sh
# TODO markers show the gaps. TASK.txt says what the program must do. kcat reads "key:value" lines with -K:
set -e
i=0
while [ $i -le 20 ]; do
  # TODO: write two lines, key$i:value$i and key$i:filter$i
  i=$((i + 1))
done > "$LAB_STATE/records"
# TODO: send them: kcat -P -b ... -t ... -K: < "$LAB_STATE/records" ; which -X setting keeps a retry from writing twice?
# TODO: when they are delivered, write the task's line for each.
