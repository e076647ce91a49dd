"""Control groups: what is written where, on trees like the kernel's; the limits themselves are tried on a host."""

import os

import pytest

from localwhisk import cgroup

NAME = f"localwhisk-{os.getpid()}"


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own"
    path.write_text("9:memory:/a\n8:cpu,cpuacct:/\n7:pids:/not/here\n0::/user\n")
    return path


def files(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_version_1_has_a_folder_a_controller(tmp_path, own):
    mount = tmp_path / "cgroup"
    for name in ("memory/a", "cpu", "pids"):
        (mount / name).mkdir(parents=True)
    groups = cgroup.detect(mount, own)
    assert groups.name == "cgroup v1"
    group = groups.create("c1", memory=256, shares=128, cpus=0.5)
    memory, cpu, pids = mount / "memory/a" / NAME / "c1", mount / "cpu" / NAME / "c1", mount / "pids" / NAME / "c1"
    assert group.entrances() == [folder / "cgroup.procs" for folder in (memory, cpu, pids)]
    assert files(memory) == {"memory.limit_in_bytes": str(256 << 20)}
    assert files(cpu) == {"cpu.shares": "128", "cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000"}
    assert files(pids) == {"pids.max": "1024"}
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    assert group.out_of_memory() is False
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert group.out_of_memory() is True


def test_version_2_has_one_folder(tmp_path, own):
    mount = tmp_path / "cgroup"
    (mount / "user").mkdir(parents=True)
    (mount / "cgroup.controllers").write_text("cpu memory pids\n")
    groups = cgroup.detect(mount, own)
    assert groups.name == "cgroup v2"
    assert (mount / "user/cgroup.subtree_control").read_text() == "+memory +cpu +pids"
    group = groups.create("c1", memory=512, shares=1024, cpus=None)
    folder = mount / "user" / NAME / "c1"
    assert group.entrances() == [folder / "cgroup.procs"]
    assert files(folder) == {"memory.max": str(512 << 20), "cpu.weight": "39", "pids.max": "1024"}
    (folder / "memory.events").write_text("low 0\noom 1\noom_kill 1\noom_group_kill 0\n")
    assert group.out_of_memory() is True


def test_where_nothing_may_be_created_there_is_none(tmp_path, own):
    assert cgroup.detect(tmp_path / "nowhere", own) is None
    (tmp_path / "cgroup").mkdir()
    (tmp_path / "cgroup" / "cgroup.controllers").touch()
    (tmp_path / "cgroup" / NAME).touch()
    assert cgroup.detect(tmp_path / "cgroup", own) is None
