"""What a container's processor is called, and when two of them are worth a warning."""

import pytest

from common.training import processor

INTEL = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Platinum 8488C
flags\t\t: fpu sse4_2 avx f16c fma avx2 avx512f avx512dq avx_vnni avx512_bf16 avx512_vnni amx_bf16 amx_tile amx_int8

processor\t: 1
model name\t: another
"""
AMD = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t: sse4_2 fma avx avx2\nbugs\t: avx512f\n\nprocessor\t: 1\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp sve bf16\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"


@pytest.mark.parametrize(("text", "expected"), [
    (INTEL, "Intel(R) Xeon(R) Platinum 8488C: sse4_2 avx avx2 fma avx_vnni avx512f avx512_vnni avx512_bf16 "
            "amx_tile amx_int8 amx_bf16"),
    (AMD, "AMD EPYC: sse4_2 avx avx2 fma"),
    (ARM, "0xd40: asimd asimddp bf16 sve"),
    ("", "unknown: "),
])  # fmt: skip
def test_a_kind_is_a_name_and_the_features_that_matter(text, expected):
    assert processor.kind(text) == expected


def test_this_machine_has_a_kind():
    name, _, features = processor.present().partition(": ")
    assert name and set(features.split()) <= set(processor.FEATURES)


def rounds_on(*kinds):
    return [[{"processors": list(lane)} for lane in lanes] for lanes in kinds]


def test_every_lane_of_every_round_counts():
    assert processor.seen(rounds_on([["b"], ["a", "b"]], [["c"], ["a"]])) == ["a", "b", "c"]


def test_two_kinds_are_a_warning_and_one_is_none():
    assert processor.warnings(processor.seen(rounds_on([["a: avx"], ["a: avx"]], [["a: avx"]]))) == []
    assert processor.warnings(processor.seen(rounds_on([["a: avx"], ["b: avx2"]]))) == [
        "the lanes trained on 2 kinds of processors (a: avx; b: avx2): the same run on one kind has weights with other "
        "last bits"
    ]
