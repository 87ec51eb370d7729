"""A node, its surroundings and what may go wrong with them.

studies     which studies there are, and what is sent of each, by a seed
senders     modalities that send until each instance is answered Success
node        the node's processes: started, killed, stopped, asked for its health
archive     a Storage SCP in a process of its own that can be slow, refuse, break off and lie
proxy       a TCP connection that can be cut after any byte, stalled, reset
disk        a small disk that can be full, slow, failing, or lose what was not synced
faults      every fault: how it begins and ends
storm       faults at random moments
ledger      what senders were answered, and what the archive got: independent of the node
properties  what must be true of both
growth      memory, descriptors and files over time, by least squares
site        all of them put together
"""
