# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Counts the requests of each endpoint in a log of Synapse, and adds up their processing times.

# A client can put the words into a path or a user agent, so it is the field that tells.
$17 == "Processed" && $18 == "request:" {
    endpoint = $25 " " $26
    sub(/\?.*/, "", endpoint)
    # Rooms, aliases, events and users, then transactions, media and the like.
    gsub(/\/([!#$@]|%2[134]|%40)[^\/]*/, "/{id}", endpoint)
    gsub(/\/[^\/]*[0-9][0-9][^\/]*/, "/{id}", endpoint)
    count[endpoint]++
    seconds[endpoint] += $19
}

END {
    for (endpoint in count)
        printf "%d %.3f %s\n", count[endpoint], seconds[endpoint], endpoint
}
