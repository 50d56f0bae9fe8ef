"""What several folders of tests share: pictures, folders, the real command, disks, faults."""
