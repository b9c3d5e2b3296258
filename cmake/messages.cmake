# A room with message schemas keeps them in its folder schema/ (the format: src/protocol/schema/README.md). In
# src/CMakeLists.txt, before the room's own line:
#   dlog_generate_messages(metadata GROUPS 1 OUT sources)
#   dlog_room(metadata SOURCES ${sources})
# Then `#include "metadata/messages/<schema file>.h"` finds the structs, in the namespace dlog::metadata.

find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
set(DLOG_GENERATED ${CMAKE_BINARY_DIR}/generated)
target_include_directories(dlog_options INTERFACE ${DLOG_GENERATED})

function(dlog_schema_generator_ what room out_dir groups outputs)
    set(generator ${CMAKE_SOURCE_DIR}/src/protocol/generate.py)
    file(GLOB schemas CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${room}/schema/*.kafka)
    add_custom_command(
        OUTPUT ${outputs}
        COMMAND Python3::Interpreter -B ${generator} ${what} --room ${room} --out ${out_dir}
                --groups ${groups} ${schemas}
        DEPENDS ${schemas} ${generator} ${CMAKE_SOURCE_DIR}/src/protocol/schema_file.py
        COMMENT "Generating the ${what} of ${room}/schema"
        VERBATIM)
endfunction()

# Generates the codecs in GROUPS source files and sets OUT to all that is generated.
function(dlog_generate_messages room)
    cmake_parse_arguments(ARG "" "GROUPS;OUT" "" ${ARGN})
    set(dir ${DLOG_GENERATED}/${room}/messages)
    set(outputs "")
    file(GLOB schemas CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${room}/schema/*.kafka)
    set(has_apis FALSE)
    foreach(schema IN LISTS schemas)
        get_filename_component(name ${schema} NAME_WE)
        list(APPEND outputs ${dir}/${name}.h)
        file(STRINGS ${schema} apis REGEX "^api " LIMIT_COUNT 1)
        if(apis)
            set(has_apis TRUE)
        endif()
    endforeach()
    if(has_apis)
        list(APPEND outputs ${dir}/api_key.h ${dir}/api_table.h)
    endif()
    math(EXPR last "${ARG_GROUPS} - 1")
    foreach(number RANGE ${last})
        list(APPEND outputs ${dir}/messages_${number}.cc)
    endforeach()
    dlog_schema_generator_(codec ${room} ${dir} ${ARG_GROUPS} "${outputs}")
    set(${ARG_OUT} ${outputs} PARENT_SCOPE)
endfunction()

# The library dlog_<room>_cases, for tests and fuzz targets: every message with a filler of random values
# (protocol/message_case.h). Not part of any program.
function(dlog_generate_message_cases room)
    cmake_parse_arguments(ARG "" "GROUPS" "" ${ARGN})
    set(dir ${DLOG_GENERATED}/${room}/cases)
    set(outputs ${dir}/cases.cc)
    math(EXPR last "${ARG_GROUPS} - 1")
    foreach(number RANGE ${last})
        list(APPEND outputs ${dir}/cases_${number}.cc)
    endforeach()
    dlog_schema_generator_(cases ${room} ${dir} ${ARG_GROUPS} "${outputs}")
    # It fills test messages and is not what is tested: unoptimised and without sanitizers it compiles
    # three times faster in release, and ten times in the fuzz preset.
    set_source_files_properties(${outputs} PROPERTIES COMPILE_OPTIONS "-O0;-g0;-fno-sanitize=all")
    add_library(dlog_${room}_cases STATIC EXCLUDE_FROM_ALL ${outputs})
    target_link_libraries(dlog_${room}_cases PUBLIC dlog_${room})
endfunction()
