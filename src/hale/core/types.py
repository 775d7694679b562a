"""Array types. The axis names are the documentation; the tests check them.

Voxel arrays are RAS+ (i to the right, j to the front, k up), contrast first.
"""

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32

Image = Float32[np.ndarray, "contrast i j k"]
"""Intensities of co-registered contrasts, unitless after normalisation."""

Map = Float32[np.ndarray, "i j k"]
"""One value per voxel."""

Mask = Bool[np.ndarray, "i j k"]
"""Yes or no per voxel."""

Labels = Int32[np.ndarray, "i j k"]
"""0 for background, 1, 2, ... for components."""

MapElsewhere = Float32[np.ndarray, "u v w"]
"""A map on another grid than the arrays beside it."""

MaskElsewhere = Bool[np.ndarray, "u v w"]
"""A mask on another grid than the arrays beside it."""

LabelsElsewhere = Int32[np.ndarray, "u v w"]
"""Labels on another grid than the arrays beside it."""

Affine = Float64[np.ndarray, "4 4"]
"""Homogeneous transform of positions; voxel index to mm, or mm to mm."""
