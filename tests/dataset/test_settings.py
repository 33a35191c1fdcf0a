"""The settings of a data set as people write them."""

import argparse

from dataset.settings import DatasetSettings, Folder
from settings import flags
from settings.errors import check


def test_a_folder_may_be_named_by_its_path_alone():
    argv = ["--folders", "photos/10_sks dog", "--folders", "more"]
    parser = argparse.ArgumentParser()
    flags.add_flags(parser, DatasetSettings)
    _, given = flags.parse(parser, DatasetSettings, argv)
    assert check(DatasetSettings, given).folders == [Folder(path="photos/10_sks dog"), Folder(path="more")]
