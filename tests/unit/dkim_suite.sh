#!/bin/sh
# SPDX-License-Identifier: ISC
# The public DKIM mails through the driver of this build (see dkim_suite.py).
exec /usr/bin/python3 "${POSTWARD_SRC:?}/tests/unit/dkim_suite.py" "${POSTWARD_BUILD:?}/tests/unit/dkim_driver"
