#!/bin/sh
# Prints manifests of this folder with the values of values.env filled in:
#
#   configs/cluster/render.sh storage training_job | kubectl apply -f -
#
# VALUES=FILE takes the values from another file.
set -eu
folder=$(dirname "$0")
values=${VALUES:-$folder/values.env}
[ $# -gt 0 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0" >&2; exit 2; }
[ -r "$values" ] || { echo "render.sh: $values cannot be read" >&2; exit 2; }
if grep -nE '^[A-Z_]+=.*[|&\\]' "$values" >&2; then
  echo "render.sh: $values: found | & or a backslash in these values, allowed: none" >&2
  exit 2
fi
script=$(sed -n 's/^\([A-Z_]*\)=\(.*\)$/s|${\1}|\2|g/p' "$values")
rendered=
for name; do
  file=$folder/${name%.yaml}.yaml
  [ -r "$file" ] || { echo "render.sh: $file: there is no such manifest" >&2; exit 2; }
  rendered="$rendered---
$(sed "$script" "$file")
"
done
if printf '%s' "$rendered" | grep -nE '\$\{[A-Z_]+\}' >&2; then
  echo "render.sh: $values has no value for these" >&2
  exit 2
fi
printf '%s' "$rendered"
