# The entry: `snakemake` looks for it here. Everything is in workflow/Snakefile.


include: "workflow/Snakefile"
