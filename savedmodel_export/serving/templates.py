"""Texts of the server's files."""

MONITORING = """\
prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""

COMPOSE = """\
# Written by each export. Beside it stand models.config and the models' folders.
services:
  serving:
    image: tensorflow/serving:2.20.0
    restart: unless-stopped
    ports:
      - "8500:8500" # gRPC
      - "8501:8501" # REST and /monitoring/prometheus/metrics
    volumes:
      - .:/models:ro
    command:
      - --model_config_file=/models/models.config
      - --model_config_file_poll_wait_seconds=30
      - --allow_version_labels_for_unavailable_models=true
      - --monitoring_config_file=/models/monitoring.config
@BATCHING_FLAGS@"""

# Only where no served model lets the images of a batch see each other.
COMPOSE_BATCHING = """\
      - --enable_batching=true
      - --enable_per_model_batching_parameters=true
"""

SERVE = """\
#!/usr/bin/env bash
# Starts TensorFlow Serving on the models in this folder: tensorflow_model_server of
# PATH (or $TF_MODEL_SERVER), else its container. Written by each export: set the
# variables instead of editing it. Arguments are passed on to the server.
#   GRPC_PORT, REST_PORT   8500, 8501
#   BATCHING               on or off: join requests of different clients. Off by
#                          default where a model lets the images of a batch see
#                          each other (attention scope "group").
#   POLL_SECONDS           30: how often models.config is read again
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
grpc_port="${GRPC_PORT:-8500}"
rest_port="${REST_PORT:-8501}"
poll_seconds="${POLL_SECONDS:-30}"
server="${TF_MODEL_SERVER:-tensorflow_model_server}"

flags=(
  "--model_config_file_poll_wait_seconds=$poll_seconds"
  --allow_version_labels_for_unavailable_models=true
)
if [[ "${BATCHING:-@BATCHING@}" == on ]]; then
  flags+=(--enable_batching=true --enable_per_model_batching_parameters=true)
fi

if ! command -v "$server" > /dev/null; then
  exec docker run --rm --init -p "$grpc_port:8500" -p "$rest_port:8501" \\
    -v "$here:/models:ro" tensorflow/serving:2.20.0 \\
    --model_config_file=/models/models.config \\
    --monitoring_config_file=/models/monitoring.config "${flags[@]}" "$@"
fi

# The server wants absolute paths; models.config has those of the container.
work="$(mktemp -d)"
translate() {
  sed "s|base_path: \\"/models/|base_path: \\"$here/|" "$here/models.config" \\
    > "$work/new" && mv "$work/new" "$work/models.config"
}
translate
while sleep "$poll_seconds"; do translate; done &
translator=$!
"$server" --port="$grpc_port" --rest_api_port="$rest_port" \\
  --model_config_file="$work/models.config" \\
  --monitoring_config_file="$here/monitoring.config" "${flags[@]}" "$@" &
running=$!
trap 'kill "$running" 2> /dev/null || true' TERM INT
trap 'kill "$translator" 2> /dev/null || true; rm -rf "$work"' EXIT
status=0
wait "$running" || status=$?
# A signal ends the first wait before the server has stopped.
wait "$running" 2> /dev/null || true
exit "$status"
"""
