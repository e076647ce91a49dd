"""Files into the deployment's bucket and out of it; run by scripts/bucket.

The bucket is the local platform's, or that of the env file which DL_ENV names.
"""

import sys
from pathlib import Path

import click
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from deployment import DeployError, load_environment
from local_platform import bucket_of
from services import Bucket


@click.group(help=__doc__)
@click.pass_context
def main(context: click.Context) -> None:
    """Find the bucket for the commands below."""
    environment = load_environment()
    wanted = ("S3_ENDPOINT", "S3_REGION", "S3_BUCKET", "S3_ACCESS_KEY", "S3_SECRET_KEY")
    unset = [name for name in wanted if not environment.get(name)]
    if unset:
        raise DeployError(f"not set: {', '.join(unset)}; set them in the env file that DL_ENV names")
    context.obj = bucket_of(environment)


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("key", required=False)
@click.pass_obj
def put(bucket: Bucket, file: Path, key: str | None) -> None:
    """Upload FILE as KEY (data/<its name>) and print its address, as dl-pipeline takes it."""
    key = key or f"data/{file.name}"
    bucket.client.upload_file(str(file), bucket.bucket, key)
    print(f"s3://{bucket.bucket}/{key}")


@main.command()
@click.argument("key")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@click.pass_obj
def get(bucket: Bucket, key: str, file: Path | None) -> None:
    """Download KEY, a key or an s3:// address, into FILE (its last part, here)."""
    key = key.removeprefix(f"s3://{bucket.bucket}/")
    file = file or Path(key.rpartition("/")[2])
    bucket.client.download_file(bucket.bucket, key, str(file))
    print(file)


@main.command("list")
@click.argument("prefix", default="")
@click.pass_obj
def list_(bucket: Bucket, prefix: str) -> None:
    """Print sizes and keys below PREFIX."""
    for page in bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            print(f"{entry['Size']:>12} {entry['Key']}")


if __name__ == "__main__":
    try:
        main()
    except (DeployError, Boto3Error, BotoCoreError, ClientError) as error:
        sys.exit(f"scripts/bucket: {error}")
