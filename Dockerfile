# The MCP server on stdin and stdout:  docker run -i --rm vllm-preflight
# Over HTTP:  docker run --rm -p 8765:8765 -e VLLM_PREFLIGHT_TOKEN vllm-preflight \
#     --http --host 0.0.0.0 --port 8765 --allow-host localhost --auth-token-env VLLM_PREFLIGHT_TOKEN
# detect_gpus sees the host's GPUs with --gpus all.

# Tag and digest change together: docker buildx imagetools inspect python:3.13-slim
FROM python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY planner planner
COPY server server
# Without bytecode the imports at start take more than twice as long.
RUN python -m venv /opt/vllm-preflight \
    && /opt/vllm-preflight/bin/pip install --no-cache-dir --compile '.[charts]' \
    && MPLCONFIGDIR=/opt/vllm-preflight/matplotlib \
        /opt/vllm-preflight/bin/python -c 'import matplotlib.font_manager'

FROM python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
LABEL io.modelcontextprotocol.server.name="io.github.vllm-preflight/vllm-preflight" \
    org.opencontainers.image.title="vllm-preflight" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/vllm-preflight /opt/vllm-preflight
RUN useradd --create-home --uid 10001 preflight
ENV PATH=/opt/vllm-preflight/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/opt/vllm-preflight/matplotlib
USER 10001
ENTRYPOINT ["vllm-preflight", "serve"]
