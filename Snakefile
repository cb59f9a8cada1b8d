# Every figure, table and the report of the RELAX reproduction. See README.md for what to type.
import os
import sys

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.0")

sys.path.insert(0, os.path.join(workflow.basedir, "src"))

from relax.runs.sources import share_with_jobs

share_with_jobs()


report: "workflow/report/workflow.rst"


configfile: os.path.join(workflow.basedir, "config.yaml")


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/toy.smk"
include: "workflow/rules/theory.smk"
include: "workflow/rules/vae.smk"
include: "workflow/rules/rl.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/own.smk"
include: "workflow/rules/provenance.smk"


rule all:
    default_target: True
    input:
        rules.provenance.input.made,
        rules.provenance.output,
