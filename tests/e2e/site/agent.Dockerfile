# The lab's agents: the helpers on the lab's stand-in for jenkins/inbound-agent, which has no remoting. No Jenkins can use it.
FROM lab/stand-in-for-inbound-agent:1
USER root
COPY bin/slipway /usr/local/bin/
RUN ["slipway", "link", "/usr/local/bin"]
LABEL org.opencontainers.image.title="slipway-agent-lab" \
      slipway.dev/stand-in="the lab's, without Jenkins' remoting: a real Jenkins needs the image of helpers/Dockerfile"
USER 1000:1000
