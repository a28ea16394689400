# escape=`

FROM debian:12
WORKDIR /c
ENV DIR=C:\data `
    OTHER="a `"quoted`" word"
COPY a.txt `
     b.txt ./
RUN echo C:\new\ `
    && echo done
