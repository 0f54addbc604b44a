# Images of Spillway's programs, each one static program, as `make images` builds them
# from bin/images. BASE has what such a program may lack: certificates of authorities, by
# which clouds are reached, and time zones. RUNTIME is what packages find around them in
# pods that wait for any package; static ones need nothing.
ARG BASE=gcr.io/distroless/static-debian12:nonroot
ARG RUNTIME=gcr.io/distroless/static-debian12:nonroot

FROM ${BASE} AS spillway
COPY spillway /spillway
USER 65532:65532
ENTRYPOINT ["/spillway"]

FROM ${BASE} AS spillway-node
COPY spillway-node /spillway-node
USER 65532:65532
ENTRYPOINT ["/spillway-node"]

# Pods start the agent by this path.
FROM ${RUNTIME} AS spillway-agent
COPY spillway-agent /spillway-agent
USER 65532:65532
ENTRYPOINT ["/spillway-agent"]
