# The user who makes faults of MySQL, where such faults are allowed: it may end the server, and nothing else. The scripts of
# the image read this file when they create the data.
password=${MYSQL_PASSWORD_FAULTS//\\/\\\\}
docker_process_sql --database=mysql <<SQL
CREATE USER faults IDENTIFIED BY '${password//\'/\'\'}';
GRANT SHUTDOWN ON *.* TO faults;
SQL
