//! Bodies for fuzz targets.
