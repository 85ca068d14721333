#!/usr/bin/env bash
# A lock by mkdir, with one folder for each key: holds between processes of one machine. A holder that is killed keeps its
# lock for ever. Speaks holdfast-lock/1. Needs bash 5.
set -u
locks=${TMPDIR:-/tmp}/holdfast-mkdir
# $state/$hold is a link to the folder of its lock, or to `timeout` or `cancelled`. Only one of those who make it succeeds.
state=$(mktemp -d)
declare -A waiters

end() {
  kill $(jobs -p) 2>/dev/null
  for link in "$state"/*; do unlock "$link"; done
  rm -rf "$state"
}
trap end EXIT

field() { if [[ $line =~ \"$1\":\"?([^\",}]*) ]]; then REPLY=${BASH_REMATCH[1]}; else REPLY=; fi; }
answer() { printf '{"type":"%s","re":%s,"hold":"%s"}\n' "$@"; }
milliseconds() { REPLY=$((${EPOCHREALTIME/[.,]/} / 1000)); }
decide() { ln -sn "$1" "$state/$2" 2>/dev/null; }

unlock() { # link
  local folder
  folder=$(readlink "$1") && [[ $folder == "$locks"/* ]] && rm "$1" && rmdir "$folder"
}

acquire() { # id key hold timeout_ms; runs in a process of its own, so that other messages are answered meanwhile
  local folder=$locks/${2//\//_} deadline
  milliseconds
  deadline=$((REPLY + $4))
  until mkdir "$folder" 2>/dev/null; do
    [[ ! -L $state/$3 ]] || return
    milliseconds
    if ((REPLY > deadline)); then
      decide timeout "$3" && answer timeout "$1" "$3"
      return
    fi
    sleep 0.005
  done
  if decide "$folder" "$3"; then answer acquired "$1" "$3"; else rmdir "$folder"; fi
}

while IFS= read -r line; do
  field type && type=$REPLY
  field id && id=$REPLY
  field hold && hold=$REPLY
  case $type in
    init)
      # In a folder for the run: the locks that an earlier one left do not matter.
      field run
      locks+=/${REPLY//\//_}
      mkdir -p "$locks"
      printf '{"type":"ready","re":%s,"name":"mkdir","version":"1","language":"bash"}\n' "$id"
      ;;
    ping) printf '{"type":"pong","re":%s}\n' "$id" ;;
    acquire)
      field key && key=$REPLY
      field timeout_ms
      acquire "$id" "$key" "$hold" "$REPLY" &
      waiters[$hold]=$!
      ;;
    cancel)
      # Where the wait has ended, its answer comes first.
      decide cancelled "$hold" || wait "${waiters[$hold]}"
      if [[ $(readlink "$state/$hold") == "$locks"/* ]]; then kind=acquired; else kind=cancelled; fi
      answer $kind "$id" "$hold"
      ;;
    release) if unlock "$state/$hold"; then answer released "$id" "$hold"; else answer lost "$id" "$hold"; fi ;;
    close) printf '{"type":"closed","re":%s}\n' "$id" ;;
  esac
done
