# `cmake --install`: the C++ client as a package, find_package(dlog) -> dlog::client. The rooms that it is made of are
# one archive, so that a program links one library and no order matters.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(DLOG_CLIENT_ROOMS base codec record protocol pattern port reactor client sdk)
list(TRANSFORM DLOG_CLIENT_ROOMS REPLACE "(.+)" "$<TARGET_OBJECTS:dlog_\\1>" OUTPUT_VARIABLE client_objects)
add_library(dlog_client_archive STATIC ${client_objects})
set_target_properties(dlog_client_archive PROPERTIES
    OUTPUT_NAME dlog EXPORT_NAME client LINKER_LANGUAGE CXX ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
target_include_directories(dlog_client_archive INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(dlog_client_archive INTERFACE cxx_std_23)
find_package(Threads REQUIRED)
target_link_libraries(dlog_client_archive INTERFACE isal z lz4 zstd snappy -l:libre2.a Threads::Threads)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/dlog)
install(TARGETS dlog_client_archive EXPORT dlog COMPONENT client ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/dlog DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT client)
install(EXPORT dlog NAMESPACE dlog:: FILE dlog-targets.cmake DESTINATION ${package_dir} COMPONENT client)
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/dlog-config.cmake.in ${CMAKE_BINARY_DIR}/dlog-config.cmake
    INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/dlog-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/dlog-config.cmake ${CMAKE_BINARY_DIR}/dlog-config-version.cmake
    DESTINATION ${package_dir} COMPONENT client)
install(TARGETS dlog COMPONENT program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
