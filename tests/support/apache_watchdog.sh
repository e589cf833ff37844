#!/bin/sh
# Owns one Java server on behalf of a test process: apache_watchdog.sh DIR COMMAND...
#
# Standard input carries orders: "start" runs COMMAND and writes its process id to DIR/pid.
# The end of input, or the death of the test process, kills the server and removes DIR, so
# that no test run leaves a server behind, however it ended.
dir=$1
shift
pid=

finish() {
    trap '' TERM INT HUP
    [ -n "$pid" ] && kill -KILL "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    rm -rf "$dir"
    exit 0
}
trap finish TERM INT HUP

while read -r order; do
    case $order in
    start)
        # setpriv covers the one death that a trap cannot see: this shell's own by SIGKILL.
        setpriv --pdeathsig KILL "$@" >>"$dir/log" 2>&1 </dev/null &
        pid=$!
        echo "$pid" >"$dir/pid.new" && mv "$dir/pid.new" "$dir/pid"
        ;;
    esac
done
finish
