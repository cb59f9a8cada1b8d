# The entry: `snakemake` looks for it here. Everything is in workflow/Snakefile, its default target
# too, which an included file would otherwise not set.


include: "workflow/Snakefile"


workflow.default_target = "all"
