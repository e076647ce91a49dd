"""The relay from an S3 server's notifications to OpenWhisk: uploads of datasets/<name>/train.json start runs.

The bucket is the truth. A notification only says that it is time to look; what lies there and has not been passed on
fires the trigger. So nothing is lost that was uploaded, or notified, while any part was down.
"""
