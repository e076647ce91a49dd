"""The schedules that are compared; used by benchmarks.schedule."""

from benchmarks.simulation import Settings

# Passes after the eighth are judged one by one, and no schedule but a decaying one looks ahead: a run of twelve passes
# tells of eight and ten as well.
EXPERIMENTS = {
    "single, batch 64": Settings(1, 8, 8, 64, 1e-3),
    "single, batch 32": Settings(1, 8, 8, 32, 1e-3),
    "single, batch 16": Settings(1, 8, 8, 16, 1e-3),
    "batch 32, 1.5e-3, momentum 0.5": Settings(4, 12, 24, 32, 1.5e-3, 0.5),
    "batch 32, 2e-3, momentum 0.5": Settings(4, 12, 24, 32, 2e-3, 0.5),
    "batch 16, 1e-3, momentum 0.5": Settings(4, 12, 24, 16, 1e-3, 0.5),
    "batch 16, 1.5e-3, momentum 0.5, 14 passes": Settings(4, 14, 28, 16, 1.5e-3, 0.5),
    "batch 16, 1e-3, 14 passes": Settings(4, 14, 28, 16, 1e-3),
    "batch 16, 1e-3, momentum 0.3, 14 passes": Settings(4, 14, 28, 16, 1e-3, 0.3),
    "batch 16, 1e-3, momentum 0.3, whole epochs": Settings(4, 12, 12, 16, 1e-3, 0.3),
    "two lanes, batch 23, 1e-3, momentum 0.3": Settings(2, 12, 24, 23, 1e-3, 0.3),
    "batch 32, 2e-3, cosine, 10 passes": Settings(4, 10, 20, 32, 2e-3, decay="cosine"),
    "one shot (thesis)": Settings(4, 8, 1, 64, 1e-3, rotation=False),
    "averages with reset (KubeML)": Settings(4, 8, 8, 64, 1e-3, rotation=False, optimizer_state="reset"),
}
