#!/usr/bin/env bash
# Written by savedmodel_export; the next export writes it anew.
#
# Starts TensorFlow Serving on the models of models.config: tensorflow_model_server of
# PATH (or $TF_MODEL_SERVER), else its container. Set these variables instead of
# editing this file; arguments are passed on to the server.
#   GRPC_PORT, REST_PORT   8500, 8501
#   LISTEN                 127.0.0.1: the address that the container's ports are open
#                          on. tensorflow_model_server opens its ports on all addresses;
#                          LISTEN=0.0.0.0 says that this is meant.
#   BATCHING               on or off: join requests of different clients. Off by
#                          default where a served model lets the images of a batch see
#                          each other (attention scope "group").
#   POLL_SECONDS           30: how often models.config is read again
set -euo pipefail
grpc_port="${GRPC_PORT:-8500}"
rest_port="${REST_PORT:-8501}"
listen="${LISTEN:-127.0.0.1}"
batching="${BATCHING:-@BATCHING@}"
poll_seconds="${POLL_SECONDS:-30}"
server="${TF_MODEL_SERVER:-tensorflow_model_server}"

fail() {
  echo "serve.sh: $1" >&2
  exit 2
}
for port in "$grpc_port" "$rest_port"; do
  [[ "$port" =~ ^[0-9]+$ ]] || fail "a port must be a number, not '$port'"
done
[[ "$poll_seconds" =~ ^[1-9][0-9]*$ ]] ||
  fail "POLL_SECONDS must be a positive number, not '$poll_seconds'"
[[ "$batching" == on || "$batching" == off ]] ||
  fail "BATCHING must be on or off, not '$batching'"

# The export folder, whatever its name holds: $(...) would cut line breaks at the end.
script="${BASH_SOURCE[0]}"
[[ "$script" == */* ]] || script="./$script"
export_dir="$(CDPATH= cd -- "${script%/*}/.." && pwd -P && echo .)"
export_dir="${export_dir%$'\n'.}"

flags=(
  "--model_config_file_poll_wait_seconds=$poll_seconds"
  --allow_version_labels_for_unavailable_models=true
)
if [[ "$batching" == on ]]; then
  flags+=(--enable_batching=true --enable_per_model_batching_parameters=true)
fi

if ! command -v -- "$server" > /dev/null; then
  # A line of CSV, so that commas, colons and quotes may stand in the folder's name.
  mount="type=bind,\"source=${export_dir//\"/\"\"}\",target=/export_dir,readonly"
  exec docker run --rm --init --mount "$mount" \
    -p "$listen:$grpc_port:8500" -p "$listen:$rest_port:8501" \
    tensorflow/serving:2.20.0 \
    --model_config_file=/export_dir/serving/models.config \
    --monitoring_config_file=/export_dir/serving/monitoring.config \
    "${flags[@]}" "$@"
fi

if [[ "$listen" != 0.0.0.0 ]]; then
  echo "serve.sh: tensorflow_model_server cannot be told where to listen: ports" \
    "$grpc_port and $rest_port are open on all addresses of this machine. Shield" \
    "them by a firewall, or use the container; LISTEN=0.0.0.0 silences this." >&2
fi

# models.config names this folder as the container sees it. The server reads a copy
# with the real name, as a string of protobuf's text format.
real_name="$(
  LC_ALL=C
  for ((i = 0; i < ${#export_dir}; i++)); do
    character="${export_dir:i:1}"
    case "$character" in
      \\ | \") printf '\\%s' "$character" ;;
      $'\n') printf '\\n' ;;
      *) printf '%s' "$character" ;;
    esac
  done
)"
work="$(mktemp -d)"
translate() {
  local text translated=""
  text="$(cat -- "$export_dir/serving/models.config")" && [[ -n "$text" ]] || return 1
  while [[ "$text" == *'"/export_dir"'* ]]; do
    translated+="${text%%'"/export_dir"'*}\"$real_name\""
    text="${text#*'"/export_dir"'}"
  done
  printf '%s\n' "$translated$text" > "$work/new" &&
    mv -- "$work/new" "$work/models.config"
}
refresh() {
  # Ends with the script even if that was killed.
  while sleep "$poll_seconds" > /dev/null 2>&1 && kill -0 "$$" 2> /dev/null; do
    translate || echo "serve.sh: models.config cannot be read; the last one stays" >&2
  done
  rm -rf -- "$work"
}
stop() {
  stopping=yes
  [[ -z "$running" ]] || kill -TERM "$running" 2> /dev/null || true
}
running="" stopping=""
trap stop TERM INT HUP
trap 'rm -rf -- "$work"' EXIT
translate || fail "$export_dir/serving/models.config cannot be read"
refresh &
refresher=$!
trap 'kill "$refresher" 2> /dev/null || true; rm -rf -- "$work"' EXIT
# Where the system can, the server ends with this script even if that is killed.
starter=()
if setpriv --pdeathsig TERM true 2> /dev/null; then
  starter=(setpriv --pdeathsig TERM --)
fi
${starter[@]+"${starter[@]}"} "$server" \
  --port="$grpc_port" --rest_api_port="$rest_port" \
  --model_config_file="$work/models.config" \
  --monitoring_config_file="$export_dir/serving/monitoring.config" \
  "${flags[@]}" "$@" &
running=$!
[[ -z "$stopping" ]] || stop
status=0
wait "$running" || status=$?
# A signal ends a wait before the server has stopped.
while kill -0 "$running" 2> /dev/null; do
  status=0
  wait "$running" || status=$?
done
exit "$status"
