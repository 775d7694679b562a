"""Known anomalies in healthy scans: lesions of a stated size and contrast, synthetic anomalies."""

from hale.data.lesions.plant import EDGE_MM, LOCAL_MM, TABLE, LesionSpec, local_tissue, plant

__all__ = ["EDGE_MM", "LOCAL_MM", "TABLE", "LesionSpec", "local_tissue", "plant"]
