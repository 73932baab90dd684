#!/bin/sh
# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# boot.sh STATE TREE COMMAND...  Called by host.py: runs COMMAND (systemd-nspawn) with TREE and the changes in STATE/upper
# mounted on STATE/root. STATE/pid names the process whose end, however it comes, ends and unmounts everything.
set -eu
if [ "$1" != --inside ]; then
    echo $$ > "$1/pid"
    while read -r group; do
        echo $$ > "$group/cgroup.procs"
    done < "$1/cgroups"
    exec unshare --mount --propagation private --pid --fork --kill-child=KILL --mount-proc "$0" --inside "$@"
fi
state=$2
tree=$3
shift 3
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
mount -t overlay overlay -o "lowerdir=$tree/root,upperdir=$state/upper,workdir=$state/work" "$state/root"
# 133: the host was restarted from inside
while status=0; "$@" || status=$?; [ "$status" -eq 133 ]; do :; done
