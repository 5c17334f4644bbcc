"""List of the file formats that are read; a new format is a module with a ``FORMAT`` and one line here."""

from infer.recordings.format import Format
from infer.recordings.formats import (
    feather,
    hdf5,
    matlab,
    netcdf,
    npy,
    npz,
    nwb,
    parquet,
    phy,
    spikeinterface,
    suite2p,
    text,
)

FORMATS: list[Format] = [
    npy.FORMAT,
    npz.FORMAT,
    *text.FORMATS,
    parquet.FORMAT,
    feather.FORMAT,
    netcdf.FORMAT,
    nwb.FORMAT,
    matlab.FORMAT,
    hdf5.FORMAT,
    phy.FORMAT,
    suite2p.FORMAT,
    spikeinterface.FORMAT,
]
