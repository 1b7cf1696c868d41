# syntax=docker/dockerfile:1
FROM docker.io/library/golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN make build VERSION="${VERSION}"
RUN install -d -m 0700 /out/data /out/tmp

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /src/bin/assay /src/bin/assay-sbom /usr/local/bin/
COPY --from=build --chown=65532:65532 /out/ /
USER 65532:65532
VOLUME /data
EXPOSE 5000
# Loopback by default, as everywhere: run it with --network host, or give it a certificate and another address in a configuration file.
ENTRYPOINT ["/usr/local/bin/assay"]
CMD ["serve", "--data", "/data", "--listen", "127.0.0.1:5000"]
