"""Fit on healthy scans, detect in one, read the findings. Beside healthy/ and scan.nii.gz."""

import hale

model = hale.fit("atlas-default", data="healthy", out="models/atlas")
detection = hale.detect(model, "scan.nii.gz", out="result")
flagged, lesions = detection.flagged, detection.lesions
