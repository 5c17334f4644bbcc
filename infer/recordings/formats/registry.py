"""List of the file formats that are read; a new format is a module with a ``FORMAT`` and one line here."""

from infer.recordings.format import Format
from infer.recordings.formats import netcdf, npy, npz, nwb, parquet, text

FORMATS: list[Format] = [
    npy.FORMAT,
    npz.FORMAT,
    *text.FORMATS,
    parquet.FORMAT,
    netcdf.FORMAT,
    nwb.FORMAT,
]
