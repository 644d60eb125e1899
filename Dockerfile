# The KMS emulator in an image. The project's tests have no Docker: they run the install and start steps below in a clean
# virtual environment (tests/emulator/test_dockerfile.py), and build nothing.
ARG PYTHON=3.11
FROM python:${PYTHON}-slim

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY keystore keystore
COPY kms_emulator kms_emulator
COPY proto/gen proto/gen
RUN pip install --no-cache-dir '.[emulator]'

# A place for --data-dir, which a volume can be put on; everything else is read-only to the process.
RUN install -d -o 10001 -g 10001 -m 0700 /data
WORKDIR /data
USER 10001:10001

ENV PYTHONUNBUFFERED=1
# gRPC (three clouds, admin, health), HTTP (AWS, admin), and HTTPS (Azure).
EXPOSE 4710 4711 4712 4713
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:4711/_emulator/health', timeout=2)"]

# 0.0.0.0 is inside the container: publish the ports to the host's loopback only, -p 127.0.0.1:4711:4711.
ENTRYPOINT ["kms-emulator"]
CMD ["serve", "--host", "0.0.0.0"]
