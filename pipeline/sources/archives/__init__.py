"""Tar and zip archives whose members are images: listed and read where they lie, never unpacked.

No member's name is ever used as a path of this machine. What is not a plain file (folders, links, devices) and what has
no image's suffix is passed over; an image that cannot be had is a row with a reason:

    unsafe_path       a name with `..` in it, which an export must not write
    duplicate_name    a second member of the same name in the same archive; the first one counts
    link              a symbolic or hard link that is called like an image
    encrypted         a member with a password
    unsupported_compression   neither stored nor deflated
    unreadable        lies outside the archive, does not unpack to what the archive says, or the archive is damaged
"""
