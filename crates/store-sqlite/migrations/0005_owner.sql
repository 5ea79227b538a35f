-- What a device's owner withholds, as the device told; NULL for nothing.
ALTER TABLE device ADD COLUMN held_back BLOB;
