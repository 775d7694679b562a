"""Known anomalies in healthy scans: lesions of a stated size and contrast, synthetic anomalies."""

from hale.data.lesions.host import Material
from hale.data.lesions.plant import EDGE_MM, LOCAL_MM, TABLE, LesionSpec, local_tissue, plant
from hale.data.lesions.synthetic import Kind, corrupted

__all__ = [
    "EDGE_MM",
    "LOCAL_MM",
    "TABLE",
    "Kind",
    "LesionSpec",
    "Material",
    "corrupted",
    "local_tissue",
    "plant",
]
