#!/usr/bin/env bash
# Loads what is new. The state is that of the last rows that arrived, whatever fails along the way.
set -o nounset -o pipefail
[ -e state.json ] || echo '{}' > state.json  # the first run
tap-bitbucket-dc --config config.json --state state.json |
    target-postgres --config target.json > states.jsonl
status=$?
if [ -s states.jsonl ]; then
    tail -n 1 states.jsonl > state.json.new && mv state.json.new state.json || status=1
fi
exit $status
