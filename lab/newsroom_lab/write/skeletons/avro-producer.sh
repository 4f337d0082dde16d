#!/bin/sh
# TODO markers show the gaps. TASK.txt says what the program must do. curl talks to the registry, jq reads JSON, and kcat
# sends each file that it is given as one value.
set -e
jq -n --rawfile schema "$LAB_SCHEMA" '{schema: $schema}' > "$LAB_STATE/request"
# TODO: which options let curl try again for a minute, after whatever error?
curl --silent --show-error --fail --output "$LAB_STATE/answer" --header "Content-Type: application/json" \
  --data "@$LAB_STATE/request" "$LAB_REGISTRY/subjects/$LAB_OUTPUT-value/versions"
id=$(jq .id "$LAB_STATE/answer")

# The byte with this number.
byte() { printf "\\$(printf %03o "$1")"; }
# Avro's text: the length times two, as one byte up to 63, and then the text. A record is its fields, one after the other.
text() { byte $((2 * ${#1})); printf %s "$1"; }

tab=$(printf '\t')
number=0
mkdir "$LAB_STATE/values"
jq -r '[.title, .media] | @tsv' "$LAB_SOURCE" | while IFS=$tab read -r title media; do
  number=$((number + 1))
  {
    byte 0
    # TODO: the id in four bytes, the highest first: byte $((id >> 24 & 255)), and so on.
    # TODO: the two fields.
  } > "$LAB_STATE/values/$(printf %04d $number)"
done
# TODO: send them: kcat -P -b ... -t ... "$LAB_STATE"/values/* ; which -X setting keeps a retry from writing twice?
