/// Included before everything else of the files that make the canary which trusts a torn tail: in
/// them every checksum is right.
#pragma once

#define verify_crc trust_crc
