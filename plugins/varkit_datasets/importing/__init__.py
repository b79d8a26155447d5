"""``varkit data import``: what the field has becomes a folder that the data set ``folder`` reads.

A layout says how captions are read: one module a layout, with a function ``read`` that adds the
videos of one file to :class:`varkit_datasets.importing.captions.Captions`. Its keyword-only
arguments are the options of the layout. A container says how features are read
(:mod:`varkit_datasets.importing.containers`). :mod:`varkit_datasets.importing.folder` joins both by
the names of videos.
"""

LAYOUTS = {
    "msrvtt": "MSR-VTT: train_val_videodatainfo.json, MSRVTT_data.json, MSR_VTT.json",
    "vatex": "VATEX: vatex_training_v1.0.json and the like, in English or Chinese",
    "activitynet": "ActivityNet Captions: train.json, val_1.json, val_2.json",
    "didemo": "DiDeMo: train_data.json, val_data.json, test_data.json",
    "lsmdc": "LSMDC: LSMDC16_annos_training.csv and the like",
    "table": "any table: .csv, .tsv, .json, .jsonl, .parquet, or a list of lines in .txt",
    "features": "no captions: all videos of the features, as a gallery",
}
"""Layout -> what it reads; all but ``features`` are modules of this package."""
