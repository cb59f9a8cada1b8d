# The project and its environment, with torch for the CPU. As yet no engine has built this: what is
# tested is that it runs the commands below it, `make` and `make test`, which run elsewhere.
#   docker build -t relax .
#   docker run --rm -v "$PWD/out:/relax/figures" relax            # make: figures, tables, report
#   docker run --rm relax make test
FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /relax
# The environment first: an edit of the code does not make it again.
COPY envs envs
COPY pyproject.toml README.md LICENSE Makefile ./
COPY src src
RUN CPU=1 make .venv/.installed
COPY . .
CMD ["make"]
