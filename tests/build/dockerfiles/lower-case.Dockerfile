arg tag=12
from debian:$tag as one
onbuild copy . /app
onbuild run make \
  -C /app
shell ["/bin/bash", "-eo", "pipefail", "-c"]
run a | b
from one as two
env A=1 \
    # comments may stand between
    B="two words" \

    C='single $quotes'
label "a key"=value
cmd ["run"]
