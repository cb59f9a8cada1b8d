# At the paper's scale: our curves beside the published ones, and packed runs (`archive.runs`) in place
# of runs: checked, stacked, then drawn, tabulated and judged by the rules before this, as far as
# their tables allow.

if PACKED or "mnist" in VAE["datasets"]:

    use rule table_toy as table_published with:
        input:
            training=training_tables,
        output:
            **table_outputs("published", "Discrete VAE", "beside the published curves"),
        log:
            f"{LOGS}/tables/published.log",
        benchmark:
            f"{BENCHMARKS}/tables/published.tsv"
        localrule: True
        params:
            code=table_sources("vae.published_summary"),
            summary="vae.published_summary",
            joined=LATENTS_TOLD,

    TABLES_MADE += [rules.table_published.output]


if PACKED:

    localrules:
        unpack,

    rule unpack:
        input:
            files=PACKED_FILES,
        output:
            **{
                name: unpacked(name)
                for name in (*sorted(PACKED_TABLES), "jobs", "tried")
            },
        log:
            f"{LOGS}/unpacked.log",
        benchmark:
            f"{BENCHMARKS}/unpacked.tsv"
        conda:
            "../../envs/relax.yaml"
        threads: 1
        resources:
            mem_mb=2000,
            runtime=10,
        params:
            code=sources("experiments.archive.stack", "runs.jobs", "runs.tables"),
            # By name: where they lie is no reason to unpack again.
            runs=[folder.name for folder in PACKED],
            tried=[folder.name for folder in TRIED],
        script:
            "../scripts/unpack.py"

    use rule table_toy as table_runs with:
        input:
            jobs=unpacked("jobs"),
        output:
            **table_outputs("runs", "Packed runs", "how far each came"),
        log:
            f"{LOGS}/tables/runs.log",
        benchmark:
            f"{BENCHMARKS}/tables/runs.tsv"
        localrule: True
        params:
            code=table_sources("archive.summary"),
            summary="archive.summary",

    FIGURES_MADE = from_packed(FIGURES_MADE)
    TABLES_MADE = [*from_packed(TABLES_MADE), rules.table_runs.output]
    RESULTS_MADE = [UNPACKED, unpacked("jobs"), unpacked("tried")]
    CLAIMS = {
        name: {key: tables for key, tables in own.items() if packed(tables)}
        for name, own in CLAIMS.items()
    }
    CLAIMS = {name: own for name, own in CLAIMS.items() if own}
    if "training" in PACKED_TABLES:

        use rule table_toy as table_learning_rates with:
            input:
                tried=unpacked("tried"),
            output:
                **table_outputs("learning_rates", "Packed runs", "learning rates"),
            log:
                f"{LOGS}/tables/learning_rates.log",
            benchmark:
                f"{BENCHMARKS}/tables/learning_rates.tsv"
            localrule: True
            params:
                code=table_sources("archive.rates_summary"),
                summary="archive.rates_summary",

        TABLES_MADE += [rules.table_learning_rates.output]
