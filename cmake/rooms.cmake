# A room is a folder of src/. Its files say what they are by their names:
#   x_test.cc   unit tests, linked into the program test_<room>
#   x_fuzz.cc   a libFuzzer target, the program fuzz_<room>_<x> (preset fuzz)
#   x_bench.cc  a micro-benchmark with its own main, the program bench_<room>_<x>
#   the rest    the static library dlog_<room>
# What a room links is what layers.txt lets it include.

file(STRINGS ${CMAKE_SOURCE_DIR}/layers.txt DLOG_LAYERS REGEX "^[a-z]+:")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/layers.txt)

function(dlog_room_dependencies room out)
    foreach(line IN LISTS DLOG_LAYERS)
        if(line MATCHES "^${room}:(.*)$")
            string(STRIP "${CMAKE_MATCH_1}" names)
            string(REPLACE " " ";" names "${names}")
            list(TRANSFORM names PREPEND dlog_)
            set(${out} ${names} PARENT_SCOPE)
            return()
        endif()
    endforeach()
    message(FATAL_ERROR "layers.txt has no line for the room '${room}'")
endfunction()

# doctest's own code, compiled once for all rooms and not optimised: it is not what is tested.
if(NOT DLOG_FUZZ)
    add_library(dlog_doctest_main OBJECT EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/src/base/doctest_main.cc)
    target_compile_features(dlog_doctest_main PRIVATE cxx_std_23)
    target_compile_options(dlog_doctest_main PRIVATE -O0 -g0)
endif()

# The standard library's headers, parsed once and not once a file: a third of a clean build. In Release
# only: the debug build of all rooms and tests, which has none, finds what a file forgot to include.
set(DLOG_STANDARD_HEADERS <algorithm> <array> <charconv> <coroutine> <cstring> <deque> <expected> <functional>
    <map> <memory> <optional> <set> <span> <string> <string_view> <unordered_map> <utility> <variant> <vector>)

# dlog_precompile(TARGET FROM OWNER [HEADERS headers...]): TARGET uses OWNER's precompiled headers; OWNER's own
# call says which they are. The two must be compiled with the same options.
function(dlog_precompile target)
    if(NOT CMAKE_BUILD_TYPE STREQUAL Release)
        return()
    endif()
    cmake_parse_arguments(ARG "" "FROM" "HEADERS" ${ARGN})
    # ccache finds what was compiled against the header again only if the header has no time in it.
    target_compile_options(${target} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
    if(target STREQUAL ARG_FROM)
        target_precompile_headers(${target} PRIVATE ${ARG_HEADERS})
    else()
        target_precompile_headers(${target} REUSE_FROM ${ARG_FROM})
    endif()
endfunction()

# dlog_room(NAME [LIBRARIES libs...] [SOURCES generated...] [TEST_LIBRARIES libs...])
function(dlog_room room)
    cmake_parse_arguments(ARG "" "" "LIBRARIES;SOURCES;TEST_LIBRARIES" ${ARGN})
    dlog_room_dependencies(${room} dependencies)
    set(dir ${CMAKE_SOURCE_DIR}/src/${room})

    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${dir}/*.cc)
    set(tests ${sources})
    set(fuzzers ${sources})
    set(benches ${sources})
    list(FILTER sources EXCLUDE REGEX "(_test|_fuzz|_bench|_main)\\.cc$")
    list(FILTER tests INCLUDE REGEX "_test\\.cc$")
    list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cc$")
    list(FILTER benches INCLUDE REGEX "_bench\\.cc$")

    add_library(dlog_${room} STATIC ${sources} ${ARG_SOURCES})
    target_link_libraries(dlog_${room} PUBLIC dlog_options ${dependencies} PRIVATE ${ARG_LIBRARIES})
    dlog_precompile(dlog_${room} FROM dlog_base HEADERS ${DLOG_STANDARD_HEADERS})

    if(tests AND NOT DLOG_FUZZ)
        add_executable(test_${room} ${tests} $<TARGET_OBJECTS:dlog_doctest_main>)
        target_link_libraries(test_${room} PRIVATE dlog_${room} ${ARG_TEST_LIBRARIES})
        target_compile_definitions(test_${room} PRIVATE DLOG_ROOT="${CMAKE_SOURCE_DIR}")
        # What is tested is the library, compiled as it is delivered; its tests compile in half the time.
        target_compile_options(test_${room} PRIVATE $<$<CONFIG:Release>:-O0>)
        dlog_precompile(test_${room} FROM test_base HEADERS ${DLOG_STANDARD_HEADERS} <doctest/doctest.h>)
        add_test(NAME ${room} COMMAND test_${room})
    endif()
    if(DLOG_FUZZ)
        foreach(file IN LISTS fuzzers)
            get_filename_component(name ${file} NAME_WE)
            string(REGEX REPLACE "_fuzz$" "" name ${name})
            add_executable(fuzz_${room}_${name} ${file})
            target_link_libraries(fuzz_${room}_${name} PRIVATE dlog_${room} ${ARG_TEST_LIBRARIES})
            target_link_options(fuzz_${room}_${name} PRIVATE -fsanitize=fuzzer)
        endforeach()
    else()
        foreach(file IN LISTS benches)
            get_filename_component(name ${file} NAME_WE)
            string(REGEX REPLACE "_bench$" "" name ${name})
            add_executable(bench_${room}_${name} EXCLUDE_FROM_ALL ${file})
            target_link_libraries(bench_${room}_${name} PRIVATE dlog_${room})
        endforeach()
    endif()
endfunction()
