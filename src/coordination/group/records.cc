#include "coordination/messages/group_records.h"
