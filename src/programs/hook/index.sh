# For ACTIONS_RUNNER_CONTAINER_HOOKS: starts index.js, beside this file, with the newest Node that the runner has; newer ones start faster.
here=$(dirname -- "$0")
externals=${RUNNER_WORKSPACE:+$(dirname -- "$(dirname -- "$RUNNER_WORKSPACE")")/externals}
for node in "$externals/node24/bin/node" "$externals/node20/bin/node"; do
  if [ -x "$node" ]; then exec "$node" "$here/index.js"; fi
done
exec node "$here/index.js"
