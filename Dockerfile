# sslcli in a container. On the CPU:
#     docker build -t sslcli .
#     docker run --rm -v "$PWD:/work" --user "$(id -u):$(id -g)" sslcli pretrain method=simclr
# On CUDA, from an image that holds torch for the card:
#     docker build -t sslcli-cuda --build-arg BASE=pytorch/pytorch:2.6.0-cuda12.4-cudnn9-runtime .
#     docker run --rm --gpus all -v "$PWD:/work" --user "$(id -u):$(id -g)" sslcli-cuda pretrain method=simclr
ARG BASE=python:3.12-slim
FROM ${BASE}

# A base that brings torch keeps it; else torch comes from here, by default without CUDA.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# Which extras of pyproject.toml are installed.
ARG EXTRAS=report,timm,export,tiff,parquet

# Debian's and Ubuntu's own Python may not be changed; a virtual environment sees its packages.
RUN python3 -m venv --system-site-packages /opt/sslcli
ENV PATH=/opt/sslcli/bin:$PATH PYTHONUNBUFFERED=1 HOME=/tmp
RUN python3 -c "import torch, torchvision" 2>/dev/null \
    || python3 -m pip install --no-cache-dir torch torchvision --index-url "${TORCH_INDEX}"

COPY pyproject.toml README.md LICENSE /src/
COPY sslcli /src/sslcli
COPY conf /src/conf
RUN python3 -m pip install --no-cache-dir "/src[${EXTRAS}]" && rm -rf /src

# Runs, and the caches of pictures, are written to the user's own folder.
WORKDIR /work
ENTRYPOINT ["sslcli"]
CMD ["--help"]
