"""Write digits.zip: scikit-learn's 1797 handwritten digits as PNG images, a folder a digit; a fifth is the test set."""

import io
import sys
import zipfile

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def write(path: str) -> None:
    held = load_digits()
    with zipfile.ZipFile(path, "w") as archive:
        for number, (image, digit) in enumerate(zip(held.images, held.target, strict=True)):
            file = io.BytesIO()
            Image.fromarray((image * 15.9375).astype(np.uint8)).save(file, "png")  # of 0..16
            part = "test" if number % 5 == 0 else "train"
            archive.writestr(zipfile.ZipInfo(f"digits/{part}/{WORDS[digit]}/{number:04}.png"), file.getvalue())


if __name__ == "__main__":
    write(sys.argv[1] if len(sys.argv) > 1 else "digits.zip")
